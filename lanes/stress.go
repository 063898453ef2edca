package lanes

// StressHeader marks a request as a replay's, whatever its colour; the value is the id of the run, so that
// whatever the request left behind can be found. An application that hands it on beside the colour lets the
// mesh see when a colour was lost on the way: see traffic.LaneStress. TTHeader has a key of its own for it
// (21, StressTag).
const StressHeader = "x-stress"
