@problemName aeon_targets
@timestamps false
@missing False
@univariate false
@dimension 2
@equalLength true
@seriesLength 4
@targetlabel true
@data
1.7335,0.3478,-0.9414,0.907:0.0177,-0.6152,-0.6335,-0.9934:0.8687
0.0481,1.0688,-0.3251,0.4208:1.8756,-1.2146,0.2575,-0.3064:0.4614
-1.0593,-1.0258,-0.0153,0.4339:-0.5316,0.0544,0.7222,0.2966:0.488
