package main

import (
	"context"
	"flag"
	"strconv"
	"strings"

	"cordon/internal/cli"
	"cordon/lab/load"
	"cordon/lab/netns"
	"cordon/lab/reader"
)

// declareAPI declares the flags of the part api.
func (o *coreOptions) declareAPI(fs *flag.FlagSet) {
	fs.StringVar(&o.api.Dir, "keep", "", "api: keep the database in `DIR`, or use the one there")
	fs.IntVar(&o.api.Homes, "homes", 0, "api: homes in the database, with 20 devices and 2 incidents each (default: 50,000; SQLite: 5,000)")
	fs.IntVar(&o.api.Clients, "clients", reader.DefaultClients, "api: people and programs that ask at once")
	fs.IntVar(&o.api.Reports, "reports", reader.DefaultReports, "api: reports a second that come meanwhile")
	fs.DurationVar(&o.api.Length, "length", reader.DefaultLength, "api: length of a run")
	fs.StringVar(&o.rates, "rates", "100,200,0", "api: comma-separated `REQUESTS` a second of all clients, a run for each; 0: as fast as answers come")
}

// benchAPI measures what people ask of core.
func benchAPI(ctx context.Context, o *coreOptions) (lines []load.Line, err error) {
	cfg := o.api
	cfg.Core, cfg.SQLite, cfg.Settings, cfg.Progress = o.Program, o.database != "postgres", tunedPostgres, o.Progress
	cfg.Routers, cfg.Seed = reader.DefaultRouters, 1
	for _, word := range strings.Split(o.rates, ",") {
		rate, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || !(rate >= 0 && rate <= 1e6) {
			return nil, cli.Usage("bench-core: --rates %q: want numbers, not below 0", o.rates)
		}
		cfg.Rates = append(cfg.Rates, rate)
	}
	if cfg.Clients < 1 || cfg.Reports < 1 || cfg.Homes < 0 || cfg.Length <= 0 {
		return nil, cli.Usage("bench-core: --clients and --reports must be at least 1, --homes at least 0, --length above 0")
	}
	if cfg.Homes == 0 {
		cfg.Homes = reader.DefaultHomes
		if cfg.SQLite {
			cfg.Homes /= 10
		}
	}
	cfg.Devices, cfg.Incidents = reader.DefaultDevices, 2*cfg.Homes
	failed := netns.Run(func(t netns.TB) error {
		lines, err = reader.Run(ctx, t, cfg)
		return err
	})
	return lines, failed
}
