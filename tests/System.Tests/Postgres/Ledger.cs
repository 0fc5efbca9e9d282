using System.Globalization;
using System.Text.RegularExpressions;

namespace ZeroFlow.SystemTests.Postgres;

/// <summary>
/// What PostgreSQL answered, and what it has: each writer inserts 1, 2, 3 and so on, one transaction each, and says so
/// once the commit is answered. Kept outside of the guest, so that no crash takes it back.
/// </summary>
internal sealed partial class Ledger
{
    private readonly Dictionary<int, int> _committed = [];

    private Ledger(string console)
    {
        foreach (Match said in Committed().Matches(console))
            _committed[Number(said, 1)] = Math.Max(_committed.GetValueOrDefault(Number(said, 1)), Number(said, 2));
    }

    /// <summary>Transactions whose commit was answered.</summary>
    public int Count => _committed.Values.Sum();

    public static Ledger Of(string console) => new(console);

    /// <summary>
    /// What the database has, as a later guest printed it, has no holes, and unless <paramref name="isPrefix"/> nothing
    /// less than what was answered. The number of answered transactions that are not there.
    /// </summary>
    public int Check(string console, bool isPrefix)
    {
        var found = Found().Matches(console).ToDictionary(static line => Number(line, 1));
        int lost = 0;
        foreach (var (writer, committed) in _committed)
        {
            int last = 0;
            if (found.TryGetValue(writer, out Match? line))
            {
                last = Number(line, 3);
                Assert.Equal(1, Number(line, 2));
                Assert.Equal(last, Number(line, 4));
            }

            Assert.True(isPrefix || last >= committed, $"Writer {writer} was answered {committed} commits; the database has {last}.");
            lost += Math.Max(0, committed - last);
        }

        return lost;
    }

    private static int Number(Match match, int group) => int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^LEDGER (\d+) (\d+)\r?$", RegexOptions.Multiline)]
    private static partial Regex Committed();

    [GeneratedRegex(@"^FOUND (\d+) (\d+) (\d+) (\d+)\r?$", RegexOptions.Multiline)]
    private static partial Regex Found();
}
