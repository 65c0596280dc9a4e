package oui

import (
	"slices"
	"strings"
	"unicode"
)

// Words that a reader does not need to recognise a maker, in lower case and
// without full stops.
var (
	// legalForms end a name wherever they stand after its first word.
	legalForms = []string{"ltd", "limited", "inc", "incorporated", "llc", "gmbh", "co", "corp",
		"corporation", "corporate", "company", "pte", "pty", "pvt", "ltda"}
	// shortForms are legal forms only at the very end: they are also words.
	shortForms = []string{"ag", "ab", "as", "a/s", "bv", "kg", "nv", "oy", "oyj", "sa", "sas", "se",
		"spa", "srl", "sro", "sl", "plc", "kk"}
	// trades say what a maker does.
	trades = []string{"technology", "technologies", "electronics", "electronic", "communications",
		"communication", "telecommunication", "telecommunications", "telecom", "digital", "device",
		"devices", "mobile", "software", "systems", "international", "group", "holdings", "industrial",
		"computer", "manufacturing", "mfg", "foundation", "trading", "broadband", "information",
		"innovation", "intelligent", "tech", "private"}
	// places are where many makers' names begin.
	places = []string{"beijing", "chengdu", "chongqing", "dongguan", "fujian", "guangdong",
		"guangzhou", "hangzhou", "hefei", "huizhou", "jiangsu", "nanjing", "ningbo", "qingdao",
		"shanghai", "shenzhen", "sichuan", "suzhou", "tianjin", "wuhan", "wuxi", "xiamen",
		"zhejiang", "zhongshan", "zhuhai"}
)

// Brand returns the maker of mac as people call it. ok is false when nobody is known.
func Brand(mac [6]byte) (name string, ok bool) {
	name, ok = Maker(mac)
	return Short(name), ok
}

// Short returns the part of a registered name that people say: "Hikvision" for
// "Hangzhou Hikvision Digital Technology Co.,Ltd.". At least one word outside
// round brackets always
// stays. Names in capitals are given small letters.
func Short(name string) string {
	words := strings.FieldsFunc(withoutBrackets(name), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	for i, word := range words {
		if i > 0 && slices.Contains(legalForms, plain(word)) {
			words = words[:i]
			break
		}
	}
	for len(words) > 1 {
		last := plain(words[len(words)-1])
		if last != "" && !slices.Contains(shortForms, last) && !slices.Contains(trades, last) {
			break
		}
		words = words[:len(words)-1]
	}
	if len(words) > 1 && slices.Contains(places, plain(words[0])) {
		words = words[1:]
	}
	for i, word := range words {
		words[i] = calm(word)
	}
	return strings.Join(words, " ")
}

// withoutBrackets drops what stands in round brackets.
func withoutBrackets(s string) string {
	for {
		from := strings.IndexByte(s, '(')
		if from < 0 {
			return s
		}
		to := strings.IndexByte(s[from:], ')')
		if to < 0 {
			return s
		}
		s = s[:from] + " " + s[from+to+1:]
	}
}

// plain is a word as the lists above spell it.
func plain(word string) string {
	return strings.ToLower(strings.ReplaceAll(word, ".", ""))
}

// calm gives a word of five or more capital letters small ones: "HUAWEI" is a
// name, "ASUS" and "TP-LINK" may stay.
func calm(word string) string {
	if len(word) < 5 {
		return word
	}
	for _, r := range word {
		if r < 'A' || r > 'Z' {
			return word
		}
	}
	return word[:1] + strings.ToLower(word[1:])
}
