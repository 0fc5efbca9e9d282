namespace ZeroFlow.Architecture.Tests;

internal static class Breaches
{
    /// <summary>Fails with every breach in full: whoever has to mend them should not need several runs.</summary>
    public static void None(IEnumerable<string> breaches)
    {
        var all = breaches.ToArray();
        if (all.Length > 0) Assert.Fail(string.Join('\n', all));
    }
}
