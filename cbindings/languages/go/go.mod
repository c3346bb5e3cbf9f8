module elman

go 1.19
