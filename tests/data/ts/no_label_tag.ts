@problemName p
@univariate false
@data
1,2:3,4:x
5,6:7,8:10
