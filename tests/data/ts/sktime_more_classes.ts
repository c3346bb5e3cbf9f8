@problemName sktime_more_classes
@timestamps false
@univariate true
@equalLength false
@classLabel true z y x
@data
-0.0264,1.3347:x
-1.5697,0.3058,0.6988:z
