@problemName aeon_missing
@timestamps false
@missing True
@univariate false
@dimension 2
@equalLength true
@seriesLength 8
@classLabel true 0.0 1.0
@data
-0.6302,-0.3356,1.9505,0.9166,-0.9739,NaN,1.3425,-2.3896:-0.5489,-0.0543,0.6483,-0.1215,-0.2304,-0.0584,1.8533,2.16:0.0
NaN,0.4942,NaN,NaN,-0.5734,0.0366,NaN,NaN:0.391,-0.3103,0.5064,0.2499,NaN,-0.015,-1.337,NaN:1.0
NaN,0.5494,-2.1045,NaN,0.0,NaN,-1.0145,0.6667:NaN,1.1536,NaN,1.7695,1.7205,0.8555,NaN,1.1383:0.0
