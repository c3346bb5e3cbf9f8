@problemName aeon_unlabelled
@timestamps false
@missing False
@univariate false
@dimension 3
@equalLength true
@seriesLength 4
@targetlabel false
@data
1.8266,0.6232,0.1295,0.7099:-0.9191,-0.3377,0.7932,0.6308:1.5484,0.0105,-1.4623,1.9472:
1.0929,-1.0587,1.3758,0.0324:-1.8139,-0.4204,-0.5089,1.5908:-0.7921,-0.2536,-0.2768,-0.379:
