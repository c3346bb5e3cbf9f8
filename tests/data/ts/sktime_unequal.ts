# A header A header A header A header A header A header A header A
# header A header A header A header A header A header A header A header
@problemName sktime_unequal
@timestamps false
@univariate false
@equalLength false
@classLabel true 1 2 3
@data
-0.6165,0.4349,-0.197,-0.0432:-2.492,-2.7001,0.3371,0.3296:3
1.3934,0.7212:0.2217,0.0164:1
-1.4267,0.8832,-0.6036:0.5025,0.2,0.2721:2
