package selection

// match reports whether path is what glob describes: * stands for anything but a slash, ** for anything, ?
// for one character that is no slash. Only the last star of each kind is ever tried again, so that it costs
// at most len(glob)·len(path)², whatever is in them.
func match(glob string, path []byte) bool {
	const none = -1
	g, p := 0, 0
	star, starPath := none, 0 // after the last *, and where what it stands for ends
	deep, deepPath := none, 0 // the same of **
	for p < len(path) || g < len(glob) {
		if g < len(glob) {
			switch c := glob[g]; {
			case c == '*' && g+1 < len(glob) && glob[g+1] == '*':
				g += 2
				deep, deepPath, star = g, p, none
				continue
			case c == '*':
				g++
				star, starPath = g, p
				continue
			case p < len(path) && (c == '?' && path[p] != '/' || c == path[p]):
				g, p = g+1, p+1
				continue
			}
		}
		switch {
		case star != none && starPath < len(path) && path[starPath] != '/':
			starPath++
			g, p = star, starPath
		case deep != none && deepPath < len(path):
			deepPath++
			g, p = deep, deepPath
		default:
			return false
		}
	}
	return true
}
