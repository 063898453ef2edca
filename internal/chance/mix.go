package chance

// Mix is the finaliser of splitmix64: every bit of the result depends on every bit of x, and no two x have
// the same result. It spreads numbers that people or counters made, such as sessions 1, 2, 3.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
