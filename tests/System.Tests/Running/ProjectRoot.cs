namespace ZeroFlow.SystemTests.Running;

internal static class ProjectRoot
{
    public static string Path { get; } = Find();

    public static string File(string relative) => global::System.IO.Path.Combine(Path, relative);

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (global::System.IO.File.Exists(global::System.IO.Path.Combine(folder.FullName, "ZeroFlow.sln"))) return folder.FullName;
        }

        throw new InvalidOperationException("ZeroFlow.sln is in no folder above the tests.");
    }
}
