# Four cases. Four cases. Four cases. Four cases. Four cases. Four
# cases. Four cases. Four cases. Four cases. Four cases. Four cases.
# Four cases.
@problemName aeon_classes
@timestamps false
@missing False
@univariate false
@dimension 3
@equalLength true
@seriesLength 5
@classLabel true 1 2 10
@data
-0.8019,-1.3244,-0.2484,0.4204,1.136:0.1097,-0.5526,-0.7848,0.7487,1.6348:0.2728,-1.2333,-0.9583,1.6,0.2029:2
-1.7321,-0.0837,-1.1632,-0.6293,-0.488:-0.7133,0.5534,-0.0631,-0.5894,0.4096:0.8299,-1.643,-0.2567,-0.9807,-0.1732:10
-1.2894,0.0207,-0.0379,-0.3043,-1.0479:-0.3962,-1.0913,-1.3552,0.2248,-1.1093:1.1703,0.7166,-1.9978,0.2721,-1.1017:1
0.0331,0.0436,-1.9884,-0.2334,-0.2558:0.962,-1.1814,0.738,-1.099,-0.3313:-0.8405,1.4487,0.5682,2.4317,0.6419:2
