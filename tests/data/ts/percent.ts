% A comment
%
%# more
A line of words.

@problemName p
@timeStamps false
@univariate true
@classLabel true a b
@data
1,2.5:a
3,4:b
