package incident

import "cordon"

// rule is what a confirmed detection of a kind may do.
type rule struct {
	alone  cordon.Level // by its own error bound α: Act for α ≤ 10⁻⁴ a home-day, Notify for ≤ 10⁻³
	weight float64      // ln(true positive rate / false positive rate), capped
}

// rules is detection.md §A5, "Decision". A kind that is not listed only adds to
// the story.
var rules = map[cordon.Kind]rule{
	cordon.ScanMirai:          {cordon.Act, 14},
	cordon.ScanHorizontal:     {cordon.Act, 9},
	cordon.ScanVertical:       {cordon.Notify, 4},
	cordon.ScanSlow:           {cordon.Watch, 3},
	cordon.ScanLateral:        {cordon.Watch, 2},
	cordon.BruteforceOutbound: {cordon.Notify, 6},
	cordon.BruteforceInbound:  {cordon.Watch, 1},
	cordon.ExploitAttempt:     {cordon.Notify, 6},
	cordon.ExploitDownloader:  {cordon.Watch, 8},
	cordon.InfectionChain:     {cordon.Watch, 5},
	cordon.C2Indicator:        {cordon.Act, 8},
	cordon.C2Keepalive:        {cordon.Act, 9},
	cordon.C2P2P:              {cordon.Act, 7},
	cordon.C2IRC:              {cordon.Act, 7},
	cordon.DoSSYN:             {cordon.Act, 8},
	cordon.DoSUDP:             {cordon.Act, 8},
	cordon.DoSACK:             {cordon.Act, 8},
	cordon.DoSGRE:             {cordon.Act, 8},
	cordon.DoSHTTP:            {cordon.Act, 8},
	cordon.DoSDNS:             {cordon.Act, 8},
	cordon.DoSICMP:            {cordon.Act, 8},
	cordon.DoSSpoofed:         {cordon.Act, 8},
	cordon.DoSReflection:      {cordon.Act, 2}, // misused, not infected
}

// Level returns the level that a detection reaches by itself.
func Level(d *cordon.Detection) cordon.Level {
	if !d.Confirmed {
		return cordon.Watch
	}
	return max(cordon.Watch, rules[d.Kind].alone)
}
