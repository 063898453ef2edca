package reports

import "github.com/redlane/redlane/traffic"

// A paint is how one lane looks everywhere on the page: a CSS class for its colour and a mark that tells
// it apart without colour.
type paint struct{ Class, Mark string }

// paints are the colours of lanes. They differ for every common kind of colour blindness; their values for
// light and dark stand in page.css.
var paints = [...]paint{
	{"lane-red", "▲"}, {"lane-blue", "■"}, {"lane-green", "◆"}, {"lane-purple", "▼"},
	{"lane-orange", "★"}, {"lane-sky", "✚"}, {"lane-olive", "○"},
}

var baseline = paint{"lane-base", "●"}

// hues are lanes whose name is a colour: drawing lane blue in red would be a trap.
var hues = map[string]int{
	"red": 0, "crimson": 0, "vermilion": 0, "blue": 1, "navy": 1, "green": 2, "teal": 2, "purple": 3, "pink": 3,
	"violet": 3, "magenta": 3, "orange": 4, "amber": 4, "sky": 5, "cyan": 5, "azure": 5, "olive": 6, "yellow": 6,
}

// palette gives every lane of r its paint, first those named after a colour, then the others in order of
// appearance. With more lanes than paints, paints repeat and names tell them apart.
func palette(r *Run) map[string]paint {
	out := map[string]paint{"": baseline}
	var used [len(paints)]bool
	lanes := r.lanes()
	for _, l := range lanes {
		if i, ok := hues[l]; ok && !used[i] {
			out[l], used[i] = paints[i], true
		}
	}
	next := 0
	for _, l := range lanes {
		if _, ok := out[l]; ok {
			continue
		}
		for range paints {
			if !used[next%len(paints)] {
				break
			}
			next++
		}
		out[l], used[next%len(paints)] = paints[next%len(paints)], true
		next++
	}
	return out
}

// lanes lists every lane that r names, in order of appearance.
func (r *Run) lanes() (all []string) {
	seen := make(map[string]bool)
	add := func(l string) {
		if !seen[l] {
			seen[l] = true
			all = append(all, l)
		}
	}
	for i := range r.Replays {
		add(r.Replays[i].Lane)
	}
	for i := range r.Traffic {
		add(r.Traffic[i].Lane)
	}
	for i := range r.Faults {
		add(r.Faults[i].Lane)
	}
	for i := range r.Lanes {
		add(r.Lanes[i].Lane)
		add(r.Lanes[i].Color)
	}
	for i := range r.Invariants {
		add(r.Invariants[i].Lane)
	}
	for i := range r.Heats {
		add(r.Heats[i].Lane)
	}
	return all
}

func laneName(lane string) string { return traffic.Color(lane).Name() }
