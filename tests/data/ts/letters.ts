@PROBLEMNAME p
@TimeStamps FALSE
@Missing False
@UNIVARIATE True
@equallength TRUE
@classlabel True Up Down
@DATA
1,2:up
3,4:DOWN
5,6:Up
