# 30–200 beats
@problemName p
@timeStamps false
@univariate true
@classLabel true a b
@data
1,2:a
3,4:b
