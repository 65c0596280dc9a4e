package store_test
import "testing"
func testLists(t *testing.T, b *bench) {}
func testScopes(t *testing.T, b *bench) {}
func testSearch(t *testing.T, b *bench) {}
func testCursors(t *testing.T, b *bench) {}
func testPlans(t *testing.T, b *bench) {}
func testRetention(t *testing.T, b *bench) {}
func testDump(t *testing.T, b *bench) {}
func testMigrate(t *testing.T, b *bench) {}
func testKill(t *testing.T, b *bench) {}
