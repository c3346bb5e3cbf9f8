@problemName p
@timeStamps false
@univariate true
@classLabel true 1.5 2
@targetLabel true
@data
1,2:1.5
3,4:2
