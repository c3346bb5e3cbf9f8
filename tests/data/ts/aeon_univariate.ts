@problemName aeon_univariate
@timestamps false
@missing False
@univariate true
@equalLength true
@seriesLength 6
@classLabel true down up
@data
0.845,0.8407,-0.6066,-0.07,1.3504,-0.3966:up
0.1888,-0.0212,0.6092,-0.3649,-0.1524,0.2424:down
0.103,-0.865,0.8958,-1.2985,-1.2011,-1.2825:up
