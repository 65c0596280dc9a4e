package agent

import (
	"slices"

	"cordon"
	"cordon/agent/detect/bruteforce"
	"cordon/agent/detect/exploit"
	"cordon/agent/detect/flood"
	"cordon/agent/detect/horizontal"
	"cordon/agent/detect/irc"
	"cordon/agent/detect/keepalive"
	"cordon/agent/detect/known"
	"cordon/agent/detect/lateral"
	"cordon/agent/detect/mirai"
	"cordon/agent/detect/p2p"
	"cordon/agent/detect/slow"
	"cordon/agent/detect/vertical"
	"cordon/agent/incident"
)

// About describes every kind of detection that the agent judges, in the order of
// cordon.Kinds.
func About() []cordon.About {
	all := slices.Concat(mirai.About(), horizontal.About(), vertical.About(), lateral.About(), slow.About(),
		bruteforce.About(), exploit.About(), incident.About(), known.About(), keepalive.About(), p2p.About(), irc.About(), flood.About())
	order := cordon.Kinds()
	slices.SortFunc(all, func(a, b cordon.About) int { return slices.Index(order, a.Kind) - slices.Index(order, b.Kind) })
	return all
}
