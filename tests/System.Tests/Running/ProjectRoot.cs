namespace ZeroFlow.SystemTests.Running;

internal static class ProjectRoot
{
    public static string Path { get; } = Find();

    public static string File(string relative) => global::System.IO.Path.Combine(Path, relative);

    private static string Find()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder.GetFiles("ZeroFlow.sln").Length == 0)
        {
            folder = folder.Parent
                ?? throw new InvalidOperationException("ZeroFlow.sln is in no folder above the tests.");
        }

        return folder.FullName;
    }
}
