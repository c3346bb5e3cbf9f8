@problemName p
@timeStamps false
@missing false
@univariate true
@dimensions 3
@equalLength true
@seriesLength 127
@classLabel true a b
@data
1,?,3:4,5,NaN:a
1,2:3,4:b
