package chance

// block is how many numbers of a series share their luck out evenly.
const block = 128

// Even is the luck, 0 to 1, of one place in a series, such as of a request on its connection. Of each 128 in a row
// every 128th of the range is met by exactly one, in an order of chance, so that a share of a long series is met far
// closer than dice would: 10 % of 25,000 to 0.03 % in place of 0.19 % (one standard deviation). Where only a few are
// drawn of each series it is as good as dice.
func Even(seed uint64, rule string, series, place uint64) float64 {
	h := Mix(seed ^ Hash(rule) ^ Mix(series) ^ Mix(place/block)<<1)
	// A bijection of seven bits, each step of which can be undone: which one is h's choice.
	i := place % block
	for range 2 {
		i = (i ^ h) * (h>>7 | 1) % block
		i ^= i >> 3
		h = Mix(h)
	}
	within := float64(Mix(h^place)>>11) / (1 << 53)
	return (float64(i) + within) / block
}
