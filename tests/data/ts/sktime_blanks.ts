# A header A header A header A header A header A header A header A
# header A header A header A header A header A header A header A header
@problemName sktime_blanks
@timestamps false
@univariate false
@equalLength true
@seriesLength 3
@classLabel true by car on foot
@data
-0.4664,-0.1921,1.1096:1.4399,-0.3413,-0.4773:on foot
1.2475,0.7236,0.6973:-1.3123,-0.3738,-0.515:by car
0.2079,-1.6849,1.2718:0.3001,0.4348,-1.1841:by car
