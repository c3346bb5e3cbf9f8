@problemName aeon_blanks
@timestamps false
@missing False
@univariate true
@equalLength true
@seriesLength 3
@classLabel true left hand none right hand
@data
-0.3523,0.2651,-0.4642:left hand
-0.4786,-0.7213,-0.5198:right hand
0.1602,-0.3804,0.1004:none
1.9012,0.4791,-1.5761:left hand
