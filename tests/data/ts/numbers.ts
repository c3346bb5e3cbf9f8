@problemName p
@timeStamps false
@univariate true
@classLabel true a b
@data
+1,-.5,1.,1e-3,1E2,007:a
1.5e+2,-0,3,4,5,6:b
