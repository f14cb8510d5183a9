export function RadioPage() { return <h1>Radio</h1>; }
