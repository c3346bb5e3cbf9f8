# A header A header A header A header A header A header A header A
# header A header A header A header A header A header A header A header
@problemName sktime_unlabelled
@timestamps false
@univariate false
@equalLength true
@seriesLength 4
@classLabel false
@data
0.8927,-0.4899,-0.3872,-0.8559:-0.3772,1.6659,-0.3633,1.1856:0.826,0.7293,0.803,-1.0143:
0.3734,1.5884,-0.6958,-0.0471:-0.6892,0.317,-1.0785,1.6097:-0.3768,-1.5427,1.7908,0.9705:
