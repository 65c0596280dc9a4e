package network

import (
	"fmt"

	"github.com/google/nftables"
)

// TryNFTables finds out whether the kernel takes a chain on a port: it asks for one
// on the loopback interface and for its removal in the same transaction, so that
// nothing is there at any time.
func TryNFTables() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: ownTables + "-try"})
	c.AddChain(&nftables.Chain{Table: t, Name: "try", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress,
		Priority: nftables.ChainPriorityFilter, Device: "lo"})
	c.DelTable(t)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("make a chain on a port: %w", err)
	}
	return nil
}
