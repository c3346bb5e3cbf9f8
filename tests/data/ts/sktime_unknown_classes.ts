@problemName sktime_unknown_classes
@timestamps false
@univariate true
@equalLength false
@classLabel true a b
@data
-0.6919,0.8147,-0.3301:?
1.2298,0.5275,0.2244:?
