# A header A header A header A header A header A header A header A
# header A header A header A header A header A header A header A header
@problemName sktime_classes
@timestamps false
@univariate false
@equalLength true
@seriesLength 5
@classLabel true run sit walk
@data
-0.6983,-0.64,0.4619,0.8894,-0.1982:0.9469,2.087,-0.2083,-1.1494,-1.0544:-1.3903,-0.6397,-0.7238,-1.3251,0.5302:walk
-2.6113,-1.3208,2.0153,1.0378,0.5228:0.4573,1.7709,0.5356,0.0776,-1.2302:-0.0737,-0.7339,-0.7062,-0.7142,-0.0446:run
-0.3297,0.8711,-1.3262,-0.1695,1.8595:0.0389,1.1986,1.1369,1.3166,0.7381:-1.3804,-0.2674,-0.3803,-1.5489,-0.4639:walk
-1.2501,-1.6656,0.2109,-0.0436,-0.6878:-0.9506,-0.5413,-0.3941,-0.4081,-0.0527:-0.4355,0.387,0.5229,0.3579,-0.6631:sit
