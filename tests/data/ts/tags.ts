@data_source x
@problemName p
@problemName q
@timestamps false
@univariate true
@univariate false
@dimension 2
@classLabel true a b b
@path /a b
@data
 1 , 2 : 3 , 4 : a 
5,6:	7,8:b
