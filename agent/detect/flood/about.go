package flood

import "cordon"

// What all descriptions share.
var (
	steps = " A limit follows at once from an interval of half a second at four times the rate, else from 1.5 s at it, as a silent first sign; what goes on for another second is confirmed, acts alone and is blocked. Both last until a minute after the flood, and twice as long each time it comes back."

	times = []cordon.Parameter{
		{Name: "Sure", Default: "4", Meaning: "times the rate, for a limit at once"},
		{Name: "Doubt", Default: "1.5 s", Meaning: "at the rate, for a limit"},
		{Name: "Corroborate", Default: "1 s", Meaning: "that a flood must go on to be confirmed"},
		{Name: "Quiet, Longest", Default: "1 min, 1 h", Meaning: "how long it must be over; doubled each time, and the most"},
	}

	noAlarm = "No false alarm, not even a first sign, on the synthetic twins (uploads, calls, games, speed tests, torrents, an outage) nor on the benign captures of docs/evaluation.md; 10⁻⁴ a home-day is the budget, not measured."
	counts  = "Packets, or counts of each device's traffic, from four a second to one."
	soon    = "0.5 s to the limit and 1.5 s to the block at 2,000 packets a second, in synthetic captures."
)

// describe completes the description of a kind that is judged by rates.
func describe(a cordon.About, parameters ...cordon.Parameter) cordon.About {
	a.Judges += steps
	a.Parameters = append(parameters, times...)
	a.Evidence = "The rate, and the share of it that was answered, each with its threshold."
	a.Inputs, a.Bound, a.Delay = counts, noAlarm, soon
	return a
}

// About describes dos.*.
func About() []cordon.About {
	syn := describe(cordon.About{
		Kind:        cordon.DoSSYN,
		Sees:        "How many TCP connections a device asks for outside of the home, and how many come about.",
		Judges:      "So many a second to a few addresses, less than a fifth of which come about, are a flood; one that is reset right after it was granted has not come about. More addresses are a scan, which others judge; many ports of one host, or many hosts of one network, are a flood only at ten times the rate.",
		FalseAlarms: []string{"Restored tabs, torrents, crawlers: they call many addresses, or are answered.", "A program that calls a closed port again and again as fast as it can: it is one."},
	}, cordon.Parameter{Name: "SYN", Default: "100 a second", Meaning: "connection requests to a few addresses"},
		cordon.Parameter{Name: "Scan", Default: "1000 a second", Meaning: "those to many ports or to a network"})
	udp := describe(cordon.About{
		Kind:        cordon.DoSUDP,
		Sees:        "UDP packets to the internet and back: of the device, and of the network that most go to.",
		Judges:      "So many a second of which less than 5 % are answered, or 1 % if they go to one address, are a flood.",
		FalseAlarms: []string{"Calls, games, QUIC, uTP, pictures by RTP: they are answered, at least with 2 of 100.", "A conversation whose other side has just fallen silent: it gets 5 s more, and until the line is known to be down.", "A one-way test of speed by UDP (iperf -u): it is slowed down and blocked for a minute."},
	}, cordon.Parameter{Name: "UDP", Default: "500 a second", Meaning: "packets"},
		cordon.Parameter{Name: "Patience", Default: "5 s", Meaning: "more for a conversation that has fallen silent"})
	ack := describe(cordon.About{
		Kind:        cordon.DoSACK,
		Sees:        "TCP packets to the internet that open no connection, and what comes back.",
		Judges:      "So many a second of which less than 1 % are acknowledged are a flood. Resets that come in acknowledge nothing. Only packets that belong to no connection are stopped.",
		FalseAlarms: []string{"Uploads: every second packet is acknowledged, one in 45 at the least.", "A device that resets what strangers ask for in its name: it is left out."},
	}, cordon.Parameter{Name: "ACK", Default: "200 a second", Meaning: "packets"})
	gre := describe(cordon.About{
		Kind:        cordon.DoSGRE,
		Sees:        "GRE packets to the internet, and what comes back.",
		Judges:      "So many a second from a thing, ten times as many from anything else, of which less than 5 % are answered, are a flood.",
		FalseAlarms: []string{"A tunnel of a VPN: it is answered."},
	}, cordon.Parameter{Name: "GRE", Default: "50 a second", Meaning: "packets"})
	icmp := describe(cordon.About{
		Kind:        cordon.DoSICMP,
		Sees:        "ICMP packets to the internet, and what comes back.",
		Judges:      "So many a second of which less than 5 % are answered are a flood. An answered one is not judged.",
		FalseAlarms: []string{"A device that strangers send datagrams to reports each as an error: it is left out."},
	}, cordon.Parameter{Name: "ICMP", Default: "200 a second", Meaning: "packets"})
	spoofed := describe(cordon.About{
		Kind:        cordon.DoSSpoofed,
		Sees:        "Packets to the internet from a device's MAC whose source address is none of the home's.",
		Judges:      "So many a second are a first sign, twenty times as many a flood. Nothing is decided about the device's traffic: the router drops such packets from anybody (RFC 2827).",
		FalseAlarms: []string{"A phone that leaves the mobile network, a device whose prefix has changed: a few packets.", "A capture in which the home's prefixes are unknown: a device must have used an address of the home of the same family before."},
	}, cordon.Parameter{Name: "Spoofed", Default: "10 a second", Meaning: "packets"})
	reflection := describe(cordon.About{
		Kind:        cordon.DoSReflection,
		Sees:        "UDP services of a device that answer strangers (DNS, NTP, SSDP, WS-Discovery and the like), and how large the answers are.",
		Judges:      "Answers at least five times as large as the questions, so many a second, to one asker or to ever new ones. What is stopped is what the device sends from that port.",
		FalseAlarms: []string{"A scanner of the internet that asks once: too few.", "A name server that its owner runs for the public: it is one."},
	}, cordon.Parameter{Name: "Reflection", Default: "10 a second", Meaning: "answers"})
	reflection.Inputs = "Packets, or flow records with both directions and counts of each device's traffic."
	return append([]cordon.About{syn, udp, ack, gre, icmp, spoofed, reflection}, protocols()...)
}

// protocols describes the kinds that are judged by what is said.
func protocols() []cordon.About {
	http := describe(cordon.About{
		Kind:        cordon.DoSHTTP,
		Sees:        "TCP connections of a thing to one web server that come about.",
		Judges:      "So many a second are a flood; it takes 3 s more to be confirmed.",
		FalseAlarms: []string{"A page with many pictures: it is over before that.", "People's computers are not judged."},
	}, cordon.Parameter{Name: "HTTP", Default: "20 a second", Meaning: "connections"})
	http.Inputs, http.Delay = "Packets, or flow records.", "1.5 s to the limit and 4.5 s to the block at 40 connections a second, in synthetic captures."
	dns := describe(cordon.About{
		Kind:        cordon.DoSDNS,
		Sees:        "Questions of a device for names of one domain, to any resolver, and the answers.",
		Judges:      "So many a second, at least four of five for different names that begin with a made-up word, and not one in five found: water torture.",
		FalseAlarms: []string{"Browsers that look names up in advance: they exist.", "Mail servers that ask block lists, look-ups of addresses: they ask for numbers."},
	}, cordon.Parameter{Name: "DNS", Default: "50 a second", Meaning: "questions"})
	dns.Evidence = "The rate of questions, and the domain."
	dns.Inputs, dns.Delay = "DNS messages to and from the device, not encrypted.", "0.5 s to the limit and 1.5 s to the block at 250 questions a second, in synthetic captures."
	http.Evidence = "The rate of connections, and the server."
	return []cordon.About{http, dns}
}
