// Package people tests core/auth and core/fleet on the real store: what a fake store
// takes for granted (uniqueness, transactions, what lists can be filtered by) holds
// there too, on both databases.
package people
