@problemName p
@timeStamps true
@univariate true
@classLabel true a b
@data
(-1,1.5),(0,2.5): b
