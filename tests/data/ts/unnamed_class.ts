@problemName p
@timeStamps false
@univariate true
@classLabel true a b
@data
1,2:c
3,4:a
5,6:B2
