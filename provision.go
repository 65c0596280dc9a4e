package cordon

// RouterImport is a line of a provider's list of routers, with the customer and the
// site that each is for.
type RouterImport struct {
	Line   int // of the list, for problems; 0: unknown
	Serial string
	Claim  Claim

	AccountReference string
	AccountName      string // empty: as it is, or the reference
	SiteReference    string
	SiteName         string // empty: as it is, or the reference
	Area             string
	Group            string
	Model            string
}

// ImportResult is what an import did, or would do.
type ImportResult struct {
	Created, Updated, Unchanged int // routers
	Problems                    []ImportProblem
}

// ImportProblem is why a line of a list cannot be taken.
type ImportProblem struct {
	Line int
	What string // the field: "serial", "site"
	Why  string // one sentence, that says what to change
}
