@problemName aeon_unequal
@timestamps false
@missing False
@univariate false
@dimension 2
@equalLength false
@classLabel true a b
@data
0.967,-0.3606,-0.971,-1.136:0.4211,-1.0548,-1.2721,0.614:b
-1.1967,-0.3224:-0.0068,-0.4453:a
-0.0541,1.3388,-0.5169:-1.2593,-1.8367,-0.2048:b
