# A header A header A header A header A header A header A header A
# header A header A header A header A header A header A header A header
@problemName sktime_unlabelled_univariate
@timestamps false
@univariate true
@equalLength true
@seriesLength 4
@classLabel false
@data
0.5185,0.5326,-0.3578,-0.2233
0.724,0.9176,0.9326,0.2126
