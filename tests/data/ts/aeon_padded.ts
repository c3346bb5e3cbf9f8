@problemName aeon_padded
@timestamps false
@missing True
@univariate false
@dimension 2
@equalLength true
@seriesLength 6
@classLabel true a b
@data
-0.8012,-1.7704,1.1937,0.0178,NaN,NaN:1.733,0.7386,-0.1261,-0.352,NaN,NaN:a
-0.2787,-1.1196,NaN,NaN,NaN,NaN:-2.3582,0.5271,NaN,NaN,NaN,NaN:b
0.8434,-0.6959,-0.9037,-0.8622,0.1588,0.7458:-0.5951,-1.5102,1.0625,-1.0651,1.1948,-0.0543:a
