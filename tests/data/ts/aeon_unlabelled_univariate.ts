@problemName aeon_unlabelled_univariate
@timestamps false
@missing False
@univariate true
@equalLength true
@seriesLength 4
@targetlabel false
@data
-0.9141,0.2191,1.0768,0.624:
-0.9275,-1.1498,0.119,-0.7066:
