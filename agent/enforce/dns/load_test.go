package dns_test

func runLoad(string) error   { return nil }
func runServer(string) error { return nil }
