@problemName p
@timeStamps true
@univariate false
@targetLabel false
@data
(0,1) , (1,-2.5),(5,3):(0,4),(1,?),(5,6)
(2,1),(3,2):(2,3),(3,nan)
