using System.Diagnostics;

namespace ZeroFlow.Architecture.Tests;

/// <summary>The files that belong to the project, as git sees them; without git, all that no build made.</summary>
internal static class SourceTree
{
    private static readonly string[] MadeByBuilds =
        ["bin", "obj", "out", "TestResults", "zeroflow-data", ".git", ".vs"];

    public static string Root { get; } = FindRoot();

    /// <summary>Paths relative to the root, with forward slashes.</summary>
    public static IReadOnlyList<string> Files { get; } = List();

    public static IEnumerable<string> CSharp(params string[] folders) =>
        Files.Where(f => f.EndsWith(".cs", StringComparison.Ordinal)
            && (folders.Length == 0 || folders.Any(folder => f.StartsWith(folder + "/", StringComparison.Ordinal))));

    public static IEnumerable<string> Projects =>
        Files.Where(f => f.EndsWith(".csproj", StringComparison.Ordinal));

    public static string Read(string file) => File.ReadAllText(Path.Combine(Root, file));

    public static bool Exists(string file) => File.Exists(Path.Combine(Root, file));

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "ZeroFlow.sln")))
        {
            folder = folder.Parent
                ?? throw new InvalidOperationException("ZeroFlow.sln is in no folder above the tests.");
        }

        return folder.FullName;
    }

    private static List<string> List()
    {
        var files = AskGit() ?? Walk(Root).Select(f => Path.GetRelativePath(Root, f).Replace('\\', '/'));
        return [.. files.Where(Exists).Order(StringComparer.Ordinal)];
    }

    private static string[]? AskGit()
    {
        if (!Path.Exists(Path.Combine(Root, ".git"))) return null;
        var start = new ProcessStartInfo("git")
        {
            WorkingDirectory = Root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            ArgumentList = { "ls-files", "--cached", "--others", "--exclude-standard" },
        };
        try
        {
            using var git = Process.Start(start)!;
            var output = git.StandardOutput.ReadToEnd();
            git.WaitForExit();
            return git.ExitCode == 0 ? output.Split('\n', StringSplitOptions.RemoveEmptyEntries) : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    private static IEnumerable<string> Walk(string directory) =>
        Directory.EnumerateFiles(directory).Concat(
            Directory.EnumerateDirectories(directory)
                .Where(d => !MadeByBuilds.Contains(Path.GetFileName(d)))
                .SelectMany(Walk));
}
