namespace ZeroFlow.SystemTests.Running;

/// <summary>
/// What a test needs from the machine. In CI a missing tool is a failure; elsewhere it skips the test by name.
/// </summary>
internal static class Require
{
    public static bool InCI => Environment.GetEnvironmentVariable("CI") == "true";

    /// <summary>Whether the long forms of the tests are asked for.</summary>
    public static bool Long => Environment.GetEnvironmentVariable("ZEROFLOW_LONG") == "1";

    public static void Tool(params string[] names)
    {
        foreach (var name in names)
        {
            if (Find(name) is null) Missing($"{name} is not installed (scripts/install-test-tools.sh installs it)");
        }
    }

    public static void Root()
    {
        if (Environment.UserName != "root") Missing("this test mounts a small file system and needs root");
    }

    public static string? Find(string tool) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Append("/sbin")
            .Select(folder => Path.Combine(folder, tool))
            .FirstOrDefault(File.Exists);

    private static void Missing(string what)
    {
        if (InCI) Assert.Fail(what);
        Assert.Skip(what);
    }
}
