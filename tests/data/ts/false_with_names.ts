@problemName p
@timeStamps false
@univariate false
@classLabel false a b
@data
1,2:3,4
5,6:7,8
